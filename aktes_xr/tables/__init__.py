"""How each shipped table was made; a retrieval never runs what is here."""
