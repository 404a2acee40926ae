"""The front doors: one module or room for each protocol that goldgate speaks over HTTP."""
