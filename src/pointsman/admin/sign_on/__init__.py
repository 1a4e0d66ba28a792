"""Single sign-on by OpenID Connect: the authorization code flow with PKCE, state and nonce.

https://openid.net/specs/openid-connect-core-1_0.html, https://www.rfc-editor.org/rfc/rfc9700
"""
