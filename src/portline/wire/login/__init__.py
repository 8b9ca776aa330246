"""The login that comes before any other byte of a protocol, as lines; both ends of it.

Theory of operation
-------------------
The server speaks first, so that a client never sends a byte to a server that would take it for
data.  Lines end with CR LF (LF alone is taken, too)::

    server  portline: login 1 SCRAM-SHA-256
    client  login 1 SCRAM-SHA-256 n,,n=portline,r=NONCE
    server  portline: challenge r=NONCE,s=SALT,i=ROUNDS
    client  proof c=biws,r=NONCE,p=PROOF
    server  portline: welcome v=SIGNATURE

or, instead of any line of the server but the first, ``portline: refused REASON TEXT`` and the end.
What follows ``login 1 MECHANISM``, ``challenge``, ``proof`` and ``welcome`` are the messages of
SCRAM (RFC 5802).  docs/explanation/threat-model.md describes every byte.

The server:

==========  ========================  ============================  =========
stage       hears                     says                          goes to
==========  ========================  ============================  =========
FIRST       login 1, a mechanism      challenge                     FINAL
FIRST       anything else             (a typed password, or) no     TYPED, REFUSED
FINAL       proof, right              welcome                       IN
FINAL       proof, wrong; else        refused                       REFUSED
TYPED       nothing is read           after a verdict               IN, REFUSED
==========  ========================  ============================  =========

The client:

==========  ========================  ============================  =========
FIRST       login 1, our mechanism    login                         FINAL
FINAL       challenge                 (when the keys are there)     KEYS
KEYS        nothing (a refusal)       proof, with the keys          PROVED
PROVED      welcome, right            nothing                       IN
any         refused, anything else    nothing                       REFUSED
==========  ========================  ============================  =========

Neither end does cryptography, reads a clock or knows where a password comes from: the exchange of
SCRAM is an object that is passed in.  Whatever a peer sends, these objects end in IN or REFUSED
after at most :data:`BYTES_MAX` bytes; whoever drives them keeps the time.
"""
