"""ProgramSessions and EnginePools that an API server must refuse, and some that it must take: changes to a good one."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["CHANGES", "INVALID", "VALID", "Case", "changed", "good"]

POOL, SESSION = "EnginePool", "ProgramSession"

_GOOD: dict[str, dict[str, Any]] = {
    POOL: {
        "apiVersion": "autellix.dev/v1alpha1",
        "kind": POOL,
        "metadata": {"name": "tiny"},
        "spec": {
            "model": {"name": "tiny", "source": "/models/tiny"},
            "engine": {"image": "autellix-engine:1"},
            "scaling": {"mode": "Manual"},
        },
    },
    SESSION: {
        "apiVersion": "autellix.dev/v1alpha1",
        "kind": SESSION,
        "metadata": {"name": "agent"},
        "spec": {"model": "tiny"},
    },
}


@dataclass(frozen=True, slots=True)
class Case:
    """One object: a good one with changes by dotted path, None taking a field away; and a part of the refusal."""

    name: str
    kind: str
    changes: Mapping[str, Any]
    says: str = ""
    before: Mapping[str, Any] = field(default_factory=dict)
    """Of the object that it is a change of, where that is what is refused."""


def good(kind: str) -> dict[str, Any]:
    """An object that is taken."""
    return copy.deepcopy(_GOOD[kind])


def changed(body: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The same with fields set by dotted path, and those that are None taken away."""
    done: dict[str, Any] = copy.deepcopy(dict(body))
    for path, value in changes.items():
        *parents, last = path.split(".")
        at = done
        for parent in parents:
            at = at.setdefault(parent, {})
        if value is None:
            at.pop(last, None)
        else:
            at[last] = value
    return done


def _mount(**entry: Any) -> dict[str, Any]:
    return {"spec.podTemplate": {"volumes": [{"name": "models", "emptyDir": {}}], "volumeMounts": [entry]}}


_LONG = "a" * 60

INVALID = (
    Case("no-spec", POOL, {"spec": None}, "spec: Required value"),
    Case("no-model", POOL, {"spec.model": None}, "spec.model: Required value"),
    Case("no-model-name", POOL, {"spec.model.name": None}, "spec.model.name: Required value"),
    Case("model-name-with-space", POOL, {"spec.model.name": "my model"}, "spec.model.name in body should match"),
    Case("vllm-without-source", POOL, {"spec.model.source": None}, "engines of kind vllm load a model"),
    Case("source-like-a-flag", POOL, {"spec.model.source": "--trust-remote-code"}, "spec.model.source in body should"),
    Case("no-engine", POOL, {"spec.engine": None}, "spec.engine: Required value"),
    Case("no-image", POOL, {"spec.engine.image": None}, "spec.engine.image: Required value"),
    Case("image-with-space", POOL, {"spec.engine.image": "a b"}, "spec.engine.image in body should match"),
    Case("unknown-engine", POOL, {"spec.engine.kind": "sglang"}, 'supported values: "vllm", "sim"'),
    Case(
        "pull-policy", POOL, {"spec.engine.imagePullPolicy": "Sometimes"}, 'values: "Always", "IfNotPresent", "Never"'
    ),
    Case("args-set-port", POOL, {"spec.engine.args": ["--port", "1"]}, "args may not set --model"),
    Case(
        "args-set-slots",
        POOL,
        {"spec.engine.args": ["--max_num_seqs=9"]},
        "use model.name, model.source and engine.slots",
    ),
    Case("args-set-scheduler", POOL, {"spec.engine.args": ["--scheduler-cls", "x"]}, "which the operator sets"),
    Case("args-separator", POOL, {"spec.engine.args": ["--"]}, "the argument -- is not needed"),
    Case("args-empty", POOL, {"spec.engine.args": [""]}, "should be at least 1 chars long"),
    Case("slots-zero", POOL, {"spec.engine.slots": 0}, "should be greater than or equal to 1"),
    Case("startup-too-short", POOL, {"spec.engine.startupSeconds": 1}, "should be greater than or equal to 10"),
    Case("env-name", POOL, {"spec.engine.env": [{"name": "a b"}]}, "name in body should match"),
    Case(
        "env-value-twice",
        POOL,
        {"spec.engine.env": [{"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]},
        "has a value or a valueFrom, not both",
    ),
    Case("env-twice", POOL, {"spec.engine.env": [{"name": "A"}, {"name": "A"}]}, "Duplicate value"),
    Case(
        "env-of-the-operator", POOL, {"spec.engine.env": [{"name": "AUTELLIX_ENGINE_PORT", "value": "1"}]}, "are set by"
    ),
    Case("quantity", POOL, {"spec.resources": {"limits": {"memory": "lots"}}}, "limits.memory in body should match"),
    Case("quantity-a-float", POOL, {"spec.resources": {"limits": {"cpu": 0.5}}}, "must be of type integer,string"),
    Case(
        "requests-above-limits",
        POOL,
        {"spec.resources": {"limits": {"cpu": "500m"}, "requests": {"cpu": 1}}},
        "resources.requests may not be above resources.limits",
    ),
    Case(
        "gpu-without-limit",
        POOL,
        {"spec.resources": {"requests": {"nvidia.com/gpu": 1}}},
        "such as nvidia.com/gpu, is set in resources.limits",
    ),
    Case("replicas-negative", POOL, {"spec.replicas": -1}, "should be greater than or equal to 0"),
    Case("replicas-too-many", POOL, {"spec.replicas": 1001}, "should be less than or equal to 1000"),
    Case("unknown-mode", POOL, {"spec.scaling.mode": "Auto-ish"}, 'supported values: "Auto", "Manual", "External"'),
    Case(
        "min-above-max", POOL, {"spec.scaling": {"minReplicas": 5}}, "minReplicas may not be above scaling.maxReplicas"
    ),
    Case("max-zero", POOL, {"spec.scaling": {"minReplicas": 0, "maxReplicas": 0}}, "greater than or equal to 1"),
    Case("min-negative", POOL, {"spec.scaling.minReplicas": -1}, "should be greater than or equal to 0"),
    Case(
        "target-above-slots",
        POOL,
        {"spec.engine.slots": 4, "spec.scaling.targetCalls": 8},
        "scaling.targetCalls may not be above engine.slots",
    ),
    Case("target-wait-zero", POOL, {"spec.scaling.targetWaitSeconds": 0}, "should be greater than 0"),
    Case("share-above-one", POOL, {"spec.scaling.returningShare": 1.5}, "should be less than or equal to 1"),
    Case(
        "idle-zero-to-zero",
        POOL,
        {"spec.scaling": {"minReplicas": 0, "idleSeconds": 0}},
        "an idle pool gives up its last engine after idleSeconds",
    ),
    Case("drain-negative", POOL, {"spec.scaling.drainSeconds": -1}, "should be greater than or equal to 0"),
    Case("hold-seconds-zero", POOL, {"spec.hold": {"seconds": 0}}, "should be greater than or equal to 1"),
    Case("hold-not-a-number", POOL, {"spec.hold": {"maxCalls": "many"}}, "must be of type integer"),
    Case(
        "no-way-to-replace",
        POOL,
        {"spec.rollingUpdate": {"maxUnavailable": 0, "maxSurge": "0%"}},
        "maxUnavailable and maxSurge cannot both be 0",
    ),
    Case("surge-not-a-percentage", POOL, {"spec.rollingUpdate": {"maxSurge": "some"}}, "maxSurge in body should match"),
    Case("mount-of-nothing", POOL, _mount(name="other", mountPath="/m"), "must name an entry of podTemplate.volumes"),
    Case("mount-relative", POOL, _mount(name="models", mountPath="m"), "mountPath in body should"),
    Case(
        "volume-of-the-operator",
        POOL,
        {"spec.podTemplate": {"volumes": [{"name": "autellix-cache", "emptyDir": {}}]}},
        "volumes called autellix-... are the operator's",
    ),
    Case("as-root", POOL, {"spec.podTemplate": {"runAsUser": 0}}, "should be greater than or equal to 1"),
    Case(
        "toleration",
        POOL,
        {"spec.podTemplate": {"tolerations": [{"operator": "Exists", "value": "gpu"}]}},
        "a toleration with the operator Exists has no value",
    ),
    Case("pool-name-long", POOL, {"metadata.name": _LONG}, "of at most 56 characters"),
    Case("pool-name-a-domain", POOL, {"metadata.name": "tiny.example"}, "metadata.name must be a DNS label"),
    Case("pool-name-a-digit", POOL, {"metadata.name": "7b"}, "a letter first"),
    Case("unknown-field", POOL, {"spec.scaling.minReplica": 2}, 'unknown field "spec.scaling.minReplica"'),
    Case("no-session-spec", SESSION, {"spec": None}, "spec: Required value"),
    Case("no-session-model", SESSION, {"spec.model": None}, "spec.model: Required value"),
    Case("session-model-empty", SESSION, {"spec.model": ""}, "spec.model in body should be at least 1 chars long"),
    Case("session-model-not-text", SESSION, {"spec.model": 7}, "must be of type string"),
    Case("tenant-with-space", SESSION, {"spec.tenant": "a b"}, "spec.tenant in body should match"),
    Case("tenant-of-another", SESSION, {"spec.tenant": "k8s:other"}, "tenant may not begin with k8s:"),
    Case("program-by-hand", SESSION, {"spec.programId": "x"}, "are for objects that the operator makes"),
    Case("name-of-a-mirror", SESSION, {"metadata.name": "p-0123456789abcdef"}, "choose another name"),
    Case("grace-negative", SESSION, {"spec.gracePeriodSeconds": -1}, "should be greater than or equal to 0"),
    Case("budget-of-nothing", SESSION, {"spec.budget": {"action": "End"}}, "a budget bounds something"),
    Case("budget-zero-seconds", SESSION, {"spec.budget": {"serviceSeconds": 0}}, "should be greater than 0"),
    Case("budget-zero-tokens", SESSION, {"spec.budget": {"outputTokens": 0}}, "should be greater than or equal to 1"),
    Case("budget-text", SESSION, {"spec.budget": {"outputTokens": "1k"}}, "must be of type integer"),
    Case(
        "budget-action",
        SESSION,
        {"spec.budget": {"outputTokens": 1, "action": "Kill"}},
        'supported values: "Report", "End"',
    ),
    Case("session-name-long", SESSION, {"metadata.name": _LONG}, "of at most 55 characters"),
    Case("session-unknown-field", SESSION, {"spec.modle": "x"}, 'unknown field "spec.modle"'),
)
"""Refused when they are made."""

CHANGES = (
    Case("model-name", POOL, {"spec.model.name": "other"}, "create another EnginePool for the other model"),
    Case("kind", POOL, {"spec.engine.kind": "sim"}, "engine.kind cannot be changed"),
    Case(
        "replicas-while-auto",
        POOL,
        {"spec.scaling.mode": "Auto", "spec.replicas": 3},
        "replicas is the operator's to decide while scaling.mode is Auto",
        before={"spec.scaling.mode": "Auto"},
    ),
    Case("session-model", SESSION, {"spec.model": "other"}, "create another ProgramSession"),
    Case("tenant", SESSION, {"spec.tenant": "b"}, "tenant cannot be changed", before={"spec.tenant": "a"}),
    Case("tenant-later", SESSION, {"spec.tenant": "b"}, "nor set or taken away later"),
    Case(
        "program",
        SESSION,
        {"metadata.name": "p-0123456789abcdef", "spec.programId": "y"},
        "programId cannot be changed",
        before={"metadata.name": "p-0123456789abcdef", "spec.programId": "x"},
    ),
)
"""Refused as a change of an object that is there."""

VALID = (
    Case("pool", POOL, {}),
    Case("auto", POOL, {"spec.scaling": {"minReplicas": 0, "maxReplicas": 10, "targetWaitSeconds": 0.25}}),
    Case("sim", POOL, {"spec.engine.kind": "sim", "spec.model.source": None, "spec.engine.args": ["--seed", "1"]}),
    Case("target-in-slots", POOL, {"spec.engine.slots": 4, "spec.scaling.targetCalls": 4}),
    Case(
        "gpu",
        POOL,
        {
            "spec.resources": {"limits": {"nvidia.com/gpu": 1, "memory": "64Gi", "cpu": "8"}},
            "spec.resources.requests": {"cpu": "1500m", "nvidia.com/gpu": "1"},
            "spec.rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0},
        },
    ),
    Case(
        "pods",
        POOL,
        {
            **_mount(name="models", mountPath="/models", readOnly=True),
            "spec.podTemplate.nodeSelector": {"gpu": "h100"},
            "spec.podTemplate.tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "spec.podTemplate.affinity": {"nodeAffinity": {}},
            "spec.podTemplate.imagePullSecrets": [{"name": "registry"}],
            "spec.podTemplate.runtimeClassName": "nvidia",
        },
    ),
    Case(
        "model-of-the-hub",
        POOL,
        {"spec.model": {"name": "meta-llama/Llama-3.1-8B", "source": "meta-llama/Llama-3.1-8B"}},
    ),
    Case("session", SESSION, {}),
    Case("budget", SESSION, {"spec.budget": {"serviceSeconds": 12.5}, "spec.tenant": "team-a"}),
    Case(
        "mirror",
        SESSION,
        {"metadata.name": "p-0123456789abcdef", "spec.programId": "claude/agent 7", "spec.tenant": "k"},
    ),
)
"""Taken."""
