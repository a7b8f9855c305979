"""The web console: pages rendered on the server over the same queries and writes as the command line and the API."""
