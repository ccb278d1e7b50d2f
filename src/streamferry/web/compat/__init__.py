"""The cloud API's wire form: signatures, envelope, PascalCase. It translates; `actions` and `checks` hold the rules."""
