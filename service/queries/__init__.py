"""The only way to the database: a module per noun, in it a row class or two and one typed coroutine
per statement of `sql/<noun>.sql`.

Absence is `None`; a database that is away raises `DatabaseUnavailable`. A coroutine that takes a
`Runner` runs alone, or in the transaction it is given.
"""
