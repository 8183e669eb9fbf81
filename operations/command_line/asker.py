"""Who asks, on a command line: whoever may read the database's address, by no name of their own."""

from charging.database.audit import Asker

BY = Asker("operator", "command line")
