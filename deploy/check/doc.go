// Package check holds what is in deploy to the code, and to the programs that
// read it: Compose files to Compose's own loader, manifests to Kustomize and to
// the types of Kubernetes, KEDA's object to its definition, queries and rules to
// Prometheus, the unit to systemd. It is a module of its own, so that none of
// these is a dependency of Pelton: make deploy-check.
package check
