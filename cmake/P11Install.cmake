# Installs whatever of the programs exists, in GNUInstallDirs' places.
