"""The stacks: one module each, called as its stack, with `STACK`, its name, and `build()`."""
