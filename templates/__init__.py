"""The cloud, written with troposphere and awacs; YAML in generated/.

`stacks` has a module for each stack, `parts` what several are made of, `iam` who may do what;
`environments` says how large each is, `naming` how everything is called.
"""
