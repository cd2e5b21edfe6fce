"""KServe's published schema of an InferenceService, as JSON schema: what tests hold `shopfloor.yaml` against.

    pip download --no-deps kserve==0.21.0
    python deploy/kserve/schema.py kserve-0.21.0-py3-none-any.whl > tests/apps/kserve.schema.json

KServe generates its Python client from its OpenAPI definitions; the names, types and required fields in that
wheel are those. Kubernetes' own are in its client, which Chroma brings here. Fields nobody has are refused,
as `kubectl apply --validate=strict` does. Only what `shopfloor.yaml` uses is followed; the rest may be any
object.

Not covered: KServe's admission webhooks, which look at combinations of fields.
"""

from __future__ import annotations

import ast
import json
import re
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import kubernetes.client

FOLLOWED = re.compile(
    r"V1beta1(InferenceService|InferenceServiceSpec|PredictorSpec)$"
    r"|V1(ObjectMeta|Container|ContainerPort|Env\w+|SecretKeySelector|Probe|HTTPGetAction|ResourceRequirements"
    r"|SecurityContext|Capabilities|Volume|VolumeMount|EmptyDirVolumeSource|PodSecurityContext)$"
)
PLAIN = {"str": "string", "int": "integer", "bool": "boolean", "float": "number"}


def definition(name: str, wheel: zipfile.ZipFile) -> tuple[dict[str, Any], list[str]]:
    """One class as a schema, and the types it names."""
    if theirs := getattr(kubernetes.client, name, None):
        types, names = theirs.openapi_types, theirs.attribute_map
        required = [names[key] for key, field in theirs.model_fields.items() if field.is_required()]
    else:
        file = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
        source = wheel.read(f"kserve/models/{file}.py").decode()
        types, names = (
            ast.literal_eval(node.value)
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Assign)
            and ast.unparse(node.targets[0]) in ("openapi_types", "attribute_map")
        )
        required = [names[key] for key in set(re.findall(r"for `(\w+)`, must not be `None`", source))]
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {names[key]: typed(kind) for key, kind in types.items()},
        "additionalProperties": False,
    }
    if required:
        schema["required"] = sorted(required)
    return schema, re.findall(r"\w+", " ".join(types.values()))


def typed(kind: str) -> dict[str, Any]:
    if match := re.fullmatch(r"[Ll]ist\[(.+)\]", kind):
        return {"type": "array", "items": typed(match[1])}
    if match := re.fullmatch(r"dict\(str, (.+)\)|Dict\[str, (.+)\]", kind):
        return {"type": "object", "additionalProperties": typed(match[1] or match[2])}
    if FOLLOWED.match(kind):
        return {"$ref": f"#/definitions/{kind}"}
    if kind == "ResourceQuantity":
        return {"type": ["string", "number"]}
    if kind in PLAIN:
        return {"type": PLAIN[kind]}
    return {"type": ["integer", "string"]} if kind == "object" else {"type": "object"}  # ports: IntOrString


def main(wheel: Path) -> None:
    wanted, definitions = ["V1beta1InferenceService"], {}
    with zipfile.ZipFile(wheel) as files:
        while wanted:
            name = wanted.pop()
            if name not in definitions and FOLLOWED.match(name):
                definitions[name], named = definition(name, files)
                wanted += named
    comment = f"deploy/kserve/schema.py, of {wheel.name} and kubernetes {version('kubernetes')}"
    whole = {"$comment": comment, "$ref": "#/definitions/V1beta1InferenceService"}
    print(json.dumps(whole | {"definitions": dict(sorted(definitions.items()))}, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
