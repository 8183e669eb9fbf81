"""The cloud, written with troposphere and awacs: one module a stack, YAML in generated/."""
