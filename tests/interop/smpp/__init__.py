"""SMPP peers: node-smpp, smpplib and Kannel, each against a real `gateway serve`."""
