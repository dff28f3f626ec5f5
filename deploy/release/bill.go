package main

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/CycloneDX/cyclonedx-go"
)

// bill writes the list of the modules that are in a binary, as the binary itself
// has them: what is linked, and not what go.mod asks for.
func (r *release) bill(t target, binary []byte) (string, error) {
	info, err := buildinfo.Read(bytes.NewReader(binary))
	if err != nil {
		return "", fmt.Errorf("%s: %w", t, err)
	}
	main := cyclonedx.Component{
		Type: cyclonedx.ComponentTypeApplication, Name: "pelton", Version: r.version, BOMRef: "pelton",
		Licenses: &cyclonedx.Licenses{{License: &cyclonedx.License{ID: "Apache-2.0"}}},
		Properties: &[]cyclonedx.Property{
			{Name: "pelton:commit", Value: r.commit}, {Name: "pelton:platform", Value: t.String()}, {Name: "pelton:go", Value: info.GoVersion},
		},
	}
	components := []cyclonedx.Component{library(&debug.Module{Path: "std", Version: info.GoVersion[len("go"):]})}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		components = append(components, library(m))
	}
	parts := make([]string, len(components))
	for i, c := range components {
		parts[i] = c.BOMRef
	}
	bom := cyclonedx.NewBOM()
	bom.Metadata = &cyclonedx.Metadata{Timestamp: r.date, Component: &main}
	bom.Components = &components
	bom.Dependencies = &[]cyclonedx.Dependency{{Ref: "pelton", Dependencies: &parts}}
	name := "pelton_" + r.version + "_" + t.String() + ".cdx.json"
	var out bytes.Buffer
	if err := cyclonedx.NewBOMEncoder(&out, cyclonedx.BOMFileFormatJSON).SetPretty(true).Encode(bom); err != nil {
		return "", err
	}
	return name, os.WriteFile(filepath.Join(r.out, name), out.Bytes(), 0o644)
}

func library(m *debug.Module) cyclonedx.Component {
	url := "pkg:golang/" + m.Path + "@" + m.Version
	c := cyclonedx.Component{Type: cyclonedx.ComponentTypeLibrary, Name: m.Path, Version: m.Version, PackageURL: url, BOMRef: url}
	if m.Sum != "" { // the h1 of go.sum: of the module's tree, and no hash of a file
		c.Properties = &[]cyclonedx.Property{{Name: "pelton:go.sum", Value: m.Sum}}
	}
	return c
}
