"""What a stack offers to others.

A stack offers a value as an export named `vni-cpo-<stack>-<environment>:<Value>`, and others
import it by that name, so CloudFormation itself refuses to take away what is still in use; see
docs/decisions/0006-exports-between-stacks.md.
"""

from __future__ import annotations

from troposphere import AWS_NO_VALUE, Export, If, ImportValue, Output, Ref, Sub, Template

from templates.naming import stack_name


def offer(
    template: Template, stack: str, name: str, value: object, description: str, **more: str
) -> None:
    """Make a value of a stack known to the others. more: `Condition`."""
    template.add_output(
        Output(
            name,
            Description=description,
            Value=value,
            Export=Export(_export_name(stack, name)),
            **more,
        )
    )


def imported(stack: str, name: str) -> ImportValue:
    """Return a value that another stack offers."""
    return ImportValue(_export_name(stack, name))


def subnets(kind: str) -> list[object]:
    """Return the network's `Public` or `Private` subnets, for a template with `add_zones`.

    One export a subnet, never a list: what is imported cannot change, and a third zone would.
    """
    return [
        imported("network", f"{kind}SubnetA"),
        imported("network", f"{kind}SubnetB"),
        If("ThreeZones", imported("network", f"{kind}SubnetC"), Ref(AWS_NO_VALUE)),
    ]


def _export_name(stack: str, name: str) -> Sub:
    return Sub(f"{stack_name(stack).data['Fn::Sub']}:{name}")
