"""rxe2ee/1, the end-to-end encryption: docs/protocol.md.

`verify` and all it imports need no private key and may be used by the server. `open` decrypts and is never imported
there; `seal` and `identity` make what members send.
"""
