package check

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// keda is the version whose definition of a ScaledObject is taken.
const keda = "github.com/kedacore/keda/v2@v2.18.1"

// manifests are what Kustomize makes of a folder, decoded strictly: a field that
// Kubernetes does not know is an error.
type manifests struct {
	deployments map[string]*apps.Deployment
	sets        map[string]*apps.StatefulSet
	jobs        map[string]*batch.Job
	services    map[string]*core.Service
	configs     map[string]*core.ConfigMap
	secrets     map[string]*core.Secret
	budgets     map[string]*policy.PodDisruptionBudget
	policies    map[string]*networking.NetworkPolicy
	scaled      []map[string]any
}

func build(t *testing.T, dir string) *manifests {
	t.Helper()
	made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(root, "deploy/kubernetes", dir))
	if err != nil {
		t.Fatal(err)
	}
	m := &manifests{
		map[string]*apps.Deployment{}, map[string]*apps.StatefulSet{}, map[string]*batch.Job{}, map[string]*core.Service{}, map[string]*core.ConfigMap{},
		map[string]*core.Secret{}, map[string]*policy.PodDisruptionBudget{}, map[string]*networking.NetworkPolicy{}, nil,
	}
	for _, r := range made.Resources() {
		data, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		switch r.GetApiVersion() + " " + r.GetKind() {
		case "apps/v1 Deployment":
			decode(t, data, m.deployments)
		case "apps/v1 StatefulSet":
			decode(t, data, m.sets)
		case "batch/v1 Job":
			decode(t, data, m.jobs)
		case "v1 Service":
			decode(t, data, m.services)
		case "v1 ConfigMap":
			decode(t, data, m.configs)
		case "v1 Secret":
			decode(t, data, m.secrets)
		case "policy/v1 PodDisruptionBudget":
			decode(t, data, m.budgets)
		case "networking.k8s.io/v1 NetworkPolicy":
			decode(t, data, m.policies)
		case "keda.sh/v1alpha1 ScaledObject":
			var object map[string]any
			if err := yaml.UnmarshalStrict(data, &object); err != nil {
				t.Error(err)
			}
			m.scaled = append(m.scaled, object)
		default:
			t.Errorf("%s: %s %s: nobody checks it", dir, r.GetApiVersion(), r.GetKind())
		}
	}
	return m
}

func decode[T any](t *testing.T, data []byte, into map[string]*T) {
	t.Helper()
	object := new(T)
	if err := yaml.UnmarshalStrict(data, object); err != nil {
		t.Errorf("%v in\n%s", err, data)
		return
	}
	named, _ := any(object).(meta.Object)
	into[named.GetName()] = object
}

// pods are the templates of all pods.
func (m *manifests) pods() map[string]core.PodTemplateSpec {
	all := map[string]core.PodTemplateSpec{}
	for name, d := range m.deployments {
		all[name] = d.Spec.Template
	}
	for name, s := range m.sets {
		all[name] = s.Spec.Template
	}
	for name, j := range m.jobs {
		all[name] = j.Spec.Template
	}
	return all
}

// chosen are the pods that a selector finds.
func (m *manifests) chosen(t *testing.T, selector *meta.LabelSelector) []string {
	t.Helper()
	s, err := meta.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name, pod := range m.pods() {
		if s.Matches(labels.Set(pod.Labels)) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func TestKubernetes(t *testing.T) {
	m := build(t, "example")
	if len(m.deployments) != 1 || len(m.sets) != 1 || len(m.jobs) != 1 || len(m.budgets) != 2 || len(m.policies) != 2 || len(m.scaled) != 1 {
		t.Fatalf("%d deployments, %d sets, %d jobs, %d budgets, %d policies, %d scaled objects",
			len(m.deployments), len(m.sets), len(m.jobs), len(m.budgets), len(m.policies), len(m.scaled))
	}
	for name, d := range m.deployments {
		if got := m.chosen(t, d.Spec.Selector); !slices.Equal(got, []string{name}) {
			t.Errorf("deployment %s selects %v", name, got)
		}
	}
	for name, s := range m.sets {
		if got := m.chosen(t, s.Spec.Selector); !slices.Equal(got, []string{name}) || m.services[s.Spec.ServiceName] == nil {
			t.Errorf("set %s selects %v, its service is %s", name, got, s.Spec.ServiceName)
		}
	}
	for name, b := range m.budgets {
		if got := m.chosen(t, b.Spec.Selector); !slices.Equal(got, []string{name}) {
			t.Errorf("budget %s is for %v", name, got)
		}
	}
	for name, p := range m.policies {
		if got := m.chosen(t, &p.Spec.PodSelector); !slices.Contains(got, name) {
			t.Errorf("policy %s is for %v", name, got)
		}
	}
	for name, s := range m.services {
		if got := m.chosen(t, &meta.LabelSelector{MatchLabels: s.Spec.Selector}); !slices.Equal(got, []string{name}) {
			t.Errorf("service %s leads to %v", name, got)
		}
	}
	for name, pod := range m.pods() {
		checkPod(t, m, name, pod)
	}
	worker := m.deployments["pelton-worker"]
	if worker.Spec.Replicas != nil {
		t.Error("the number of workers is said twice, here and by KEDA")
	}
	if grace := *worker.Spec.Template.Spec.TerminationGracePeriodSeconds; grace < 600 {
		t.Errorf("a worker gets %d s to finish, a request may take 600", grace)
	}
}

// checkPod: what it names is there, and it has no right that it does not need.
func checkPod(t *testing.T, m *manifests, name string, pod core.PodTemplateSpec) {
	t.Helper()
	s := pod.Spec
	if s.SecurityContext == nil || s.SecurityContext.RunAsNonRoot == nil || !*s.SecurityContext.RunAsNonRoot || s.AutomountServiceAccountToken == nil || *s.AutomountServiceAccountToken {
		t.Errorf("%s may run as root, or has a token", name)
	}
	volumes := map[string]bool{}
	for _, v := range s.Volumes {
		volumes[v.Name] = true
		if v.ConfigMap != nil && m.configs[v.ConfigMap.Name] == nil {
			t.Errorf("%s: there is no config map %s", name, v.ConfigMap.Name)
		}
	}
	for _, set := range m.sets {
		for _, claim := range set.Spec.VolumeClaimTemplates {
			volumes[claim.Name] = true
		}
	}
	for _, c := range s.Containers {
		if c.SecurityContext == nil || c.SecurityContext.ReadOnlyRootFilesystem == nil || !*c.SecurityContext.ReadOnlyRootFilesystem ||
			*c.SecurityContext.AllowPrivilegeEscalation || !slices.Equal(c.SecurityContext.Capabilities.Drop, []core.Capability{"ALL"}) {
			t.Errorf("%s/%s has rights that it does not need", name, c.Name)
		}
		for _, mount := range c.VolumeMounts {
			if !volumes[mount.Name] {
				t.Errorf("%s/%s: there is no volume %s", name, c.Name, mount.Name)
			}
		}
		for _, probe := range []*core.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
			if probe != nil && !slices.ContainsFunc(c.Ports, func(p core.ContainerPort) bool { return p.Name == probe.HTTPGet.Port.StrVal }) {
				t.Errorf("%s/%s is probed at a port it does not have: %s", name, c.Name, probe.HTTPGet.Port.StrVal)
			}
		}
		if c.Resources.Limits.Memory().IsZero() {
			t.Errorf("%s/%s has no limit of memory", name, c.Name)
		}
		if !strings.HasPrefix(c.Image, "pelton:") {
			continue
		}
		parses(t, c.Args)
		for _, v := range c.Env {
			known(t, name, v.Name)
		}
		for _, from := range c.EnvFrom {
			switch {
			case from.ConfigMapRef != nil && m.configs[from.ConfigMapRef.Name] != nil:
				for key := range m.configs[from.ConfigMapRef.Name].Data {
					known(t, name, key)
				}
			case from.SecretRef != nil && m.secrets[from.SecretRef.Name] != nil:
				for key := range m.secrets[from.SecretRef.Name].Data {
					known(t, name, key)
				}
			default:
				t.Errorf("%s/%s: its settings come from what is not there", name, c.Name)
			}
		}
	}
}

// KEDA's object by KEDA's own definition, and what it looks at by Pelton's names.
func TestScaling(t *testing.T) {
	object := build(t, "example").scaled[0]
	if err := scaledObjectSchema(t).Validate(object); err != nil {
		t.Errorf("%v", err)
	}
	var scaled struct {
		Spec struct {
			ScaleTargetRef struct{ Name string }
			Triggers       []struct {
				Type     string
				Metadata map[string]string
			}
		}
	}
	data, err := json.Marshal(object)
	if err == nil {
		err = json.Unmarshal(data, &scaled)
	}
	if err != nil || scaled.Spec.ScaleTargetRef.Name != "pelton-worker" || len(scaled.Spec.Triggers) != 2 {
		t.Fatalf("%+v, %v", scaled, err)
	}
	// That the names are Pelton's, and the lag there, holds TestThreeNodes in deploy/nats.
	if jobs := scaled.Spec.Triggers[0]; jobs.Type != "nats-jetstream" || jobs.Metadata["stream"] == "" || jobs.Metadata["consumer"] == "" {
		t.Errorf("%+v", jobs)
	}
	if wanted := scaled.Spec.Triggers[1]; wanted.Type != "prometheus" {
		t.Errorf("%+v", wanted)
	} else {
		query(t, "scaledobject.yaml", wanted.Metadata["query"])
	}
}

// scaledObjectSchema is that of KEDA's custom resource.
func scaledObjectSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", keda)
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod")
	out, err := cmd.Output()
	var module struct{ Dir string }
	if err != nil || json.Unmarshal(out, &module) != nil {
		t.Fatalf("download %s: %v", keda, err)
	}
	data, err := os.ReadFile(filepath.Join(module.Dir, "config/crd/bases/keda.sh_scaledobjects.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var crd struct {
		Spec struct {
			Versions []struct {
				Name   string
				Schema struct{ OpenAPIV3Schema map[string]any }
			}
		}
	}
	if err := yaml.Unmarshal(data, &crd); err != nil || len(crd.Spec.Versions) != 1 || crd.Spec.Versions[0].Name != "v1alpha1" {
		t.Fatalf("%+v, %v", crd.Spec.Versions, err)
	}
	definition := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	closed(definition)
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("scaledobject.json", definition); err != nil {
		t.Fatal(err)
	}
	s, err := compiler.Compile("scaledobject.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// closed makes a schema refuse fields that it does not name, as the server
// drops them, and leaves out what is no JSON Schema.
func closed(node any) {
	switch v := node.(type) {
	case map[string]any:
		if properties, ok := v["properties"].(map[string]any); ok && v["type"] == "object" {
			if _, said := v["additionalProperties"]; !said && len(properties) > 0 {
				v["additionalProperties"] = false
			}
		}
		maps.DeleteFunc(v, func(key string, value any) bool {
			return strings.HasPrefix(key, "x-kubernetes-") || key == "format" && value != "int32"
		})
		for _, child := range v {
			closed(child)
		}
	case []any:
		for _, child := range v {
			closed(child)
		}
	}
}

// The cluster in Kubernetes is the one of deploy/nats.
func TestClusterConfiguration(t *testing.T) {
	if read(t, "deploy/nats/cluster.conf") != read(t, "deploy/kubernetes/components/nats/nats.conf") {
		t.Error("deploy/kubernetes/components/nats/nats.conf is not deploy/nats/cluster.conf: copy it")
	}
}

// kubectl makes the same of the folder, where there is one.
func TestKubectl(t *testing.T) {
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		t.Log("no kubectl here: Kustomize's library has built the same")
		return
	}
	out, err := exec.CommandContext(t.Context(), kubectl, "kustomize", filepath.Join(root, "deploy/kubernetes/example")).CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("kind: ScaledObject")) {
		t.Errorf("%v\n%s", err, out)
	}
}
