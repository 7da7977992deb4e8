"""SIP without IO: messages, transactions, dialogs, calls, registration (RFC 3261 and its
extensions). `endpoint.UserAgent` is the whole of it; messages and the time go in, events and
messages to send come out."""
