"""A simulated MIOSA API: a tenant's usage served over real HTTP on loopback, for the demo and the tests.

The vendor cannot be asked and has no test tenant, so this package speaks its documented protocol, in every variant
that its documentation and clients describe, over data that holds every case the billing rules name. Nothing in the
warehouse imports it: the extractor meets it only as an HTTP server.
"""

from simulator.app import Options, create_app
from simulator.generate import generate_tenant
from simulator.server import Server, serve
from simulator.tenant import Tenant

__all__ = ["Options", "Server", "Tenant", "create_app", "generate_tenant", "serve"]
