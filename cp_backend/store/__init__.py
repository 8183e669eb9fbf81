"""What a node reads and writes, a module a subject, each statement for many charging points.

Every state change and the event that records it are in one transaction. Statements repeat
safely: a charging point that did not get our answer sends the same again. docs/decisions/0031
says how submissions and results are typed.
"""
