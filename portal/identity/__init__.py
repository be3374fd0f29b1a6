"""Who is signed in: OpenID Connect client and server-side sessions."""
