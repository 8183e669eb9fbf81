# Prints a Makefile's targets in their groups: `##@ Group` and `target: … ## help`.
BEGIN { FS = ":.*## "; printf "Usage: make <target> [NAME=value …]\n" }
/^##@ / { printf "\n%s\n", substr($0, 5) }
/^[a-zA-Z0-9_-]+:.*## / { printf "  %-34s %s\n", $1, $2 }
