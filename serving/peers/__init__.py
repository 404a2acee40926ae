"""Review tools as servers that goldgate itself calls."""
