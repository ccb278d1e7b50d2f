"""What every layer shares: tags, codec headers, 32-bit stamps, addresses, errors. Pure: no I/O, no clock."""
