"""One pass, and the steps it is made of: one folder because each module is a step or a way of starting one."""
