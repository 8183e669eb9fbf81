"""What the Makefile's cloud targets do, with the AWS CLI; see docs/deploying.md.

`inputs` checks what was asked for, `aws` calls the CLI, `stacks`, `certificates`, `images` and
`migration` each know one thing, `environment` puts them in order, `watching` looks on.
`containers` runs images on this machine.
"""
