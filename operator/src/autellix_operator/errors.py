"""Everything that the operator raises.

::

    OperatorError
    ├── ClusterError         the API server did not do what it was asked
    │   ├── ClusterAway      it did not answer, or with 429 or 5xx, however often it was asked
    │   ├── Conflicted       409: somebody else changed the object meanwhile
    │   ├── NotThere         404: the object, its kind or its namespace is gone
    │   └── Refused          any other 4xx: RBAC, a schema, a quota, a policy
    │       └── NamespaceEnding  its namespace is being deleted and takes nothing new
    ├── GatewayError         the gateways did not do what they were asked
    │   ├── GatewayAway      none answered, or none can now; what is shown of programs stays as it is
    │   └── GatewayRefused   they answered that the request cannot be served
    └── NotLeading           another replica leads; nothing was written
"""

__all__ = [
    "ClusterAway",
    "ClusterError",
    "Conflicted",
    "GatewayAway",
    "GatewayError",
    "GatewayRefused",
    "NamespaceEnding",
    "NotLeading",
    "NotThere",
    "OperatorError",
    "Refused",
]


class OperatorError(Exception):
    """The root: one sentence that says what is wrong."""


class ClusterError(OperatorError):
    """The API server did not do what it was asked."""


class ClusterAway(ClusterError):
    """The API server did not answer in time, or only that it cannot now; trying again later may help."""


class Conflicted(ClusterError):
    """The object was changed meanwhile; read it again and decide anew."""


class NotThere(ClusterError):
    """What the request is about does not exist."""


class Refused(ClusterError):
    """The request was understood and refused; the same one will be refused again."""


class NamespaceEnding(Refused):
    """Nothing can be made in this namespace any more, as it is being deleted."""


class GatewayError(OperatorError):
    """The gateways did not do what they were asked."""


class GatewayAway(GatewayError):
    """No gateway answered in time, or only that it cannot now."""


class GatewayRefused(GatewayError):
    """The request was understood and refused, such as for a model that is not served."""


class NotLeading(OperatorError):
    """This replica does not hold the lease, so it writes nothing."""
