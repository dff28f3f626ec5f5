package check

import (
	"os"
	"slices"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// The Compose file by Compose's own loader, which holds it to its schema.
func TestCompose(t *testing.T) {
	for _, profiles := range [][]string{nil, {"metrics"}} {
		options, err := cli.NewProjectOptions([]string{root + "/docker-compose.yml"}, cli.WithProfiles(profiles), cli.WithName("pelton"))
		if err != nil {
			t.Fatal(err)
		}
		project, err := options.LoadProject(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"mock", "nats", "worker"}
		if profiles != nil {
			want = []string{"grafana", "mock", "nats", "prometheus", "worker"}
		}
		if got := project.ServiceNames(); !slices.Equal(got, want) {
			t.Errorf("with the profiles %v there are %v, want %v", profiles, got, want)
		}
		for _, service := range project.Services {
			composeService(t, project, service)
		}
	}
}

func composeService(t *testing.T, project *types.Project, service types.ServiceConfig) {
	t.Helper()
	for _, v := range service.Volumes {
		switch v.Type {
		case types.VolumeTypeBind:
			if _, err := os.Stat(v.Source); err != nil {
				t.Errorf("%s: %v", service.Name, err)
			}
		case types.VolumeTypeVolume:
			if _, ok := project.Volumes[v.Source]; !ok {
				t.Errorf("%s: there is no volume %s", service.Name, v.Source)
			}
		}
	}
	for _, port := range service.Ports {
		if port.HostIP != "127.0.0.1" {
			t.Errorf("%s: port %s is open to the network", service.Name, port.Published)
		}
	}
	if service.Build == nil {
		if service.Image == "" {
			t.Errorf("%s has neither image nor build", service.Name)
		}
		return
	}
	if service.Build.Dockerfile != "deploy/Dockerfile" {
		t.Errorf("%s is built from %s", service.Name, service.Build.Dockerfile)
	}
	parses(t, service.Command)
	for name := range service.Environment {
		known(t, "docker-compose.yml", name)
	}
}
