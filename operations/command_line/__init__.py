"""The command line over the back office: arguments in, tables or JSON out. One module a subject."""
