"""Judges the objects of a stream by the strict schemas of the given Kubernetes versions.

Run by the Python of .ci/chart-tools. Kinds of others (monitoring, keda, gateway) are not in those
schemas and are named on stdout; each finding is a line, and the exit status is 1 if there is one.
"""

import sys

import kubernetes_validate
import yaml

FOREIGN = ("monitoring.coreos.com/", "keda.sh/", "gateway.networking.k8s.io/")


def main() -> int:
    findings = 0
    objects = [o for o in yaml.safe_load_all(sys.stdin) if o]
    for number, found in enumerate(objects):
        if found["apiVersion"].startswith(FOREIGN):
            print(f"foreign {found['kind']}")
            continue
        for version in sys.argv[1:]:
            name = f"{found['kind']} {found['metadata']['name']} ({number}) by {version}"
            try:
                kubernetes_validate.validate(found, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                findings += 1
                print(f"{name}: {'.'.join(str(p) for p in error.path)}: {error.message}")
            else:
                print(f"good {name}")
    return 1 if findings else 0


sys.exit(main())
