"""Reading pictures: `read` is the entry, `formats` tells types, `deep` and `colour` convert pixels."""
