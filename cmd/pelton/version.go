package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// Set with -ldflags "-X main.version=…", as the Makefile does; what is empty comes
// from the build itself.
var version, commit, date string

type versionCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

func (versionCmd) Help() string { return "Example:\n\n\tpelton version --json" }

// build says what this binary was made of.
type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Date     string `json:"date,omitempty"`
	Modified bool   `json:"modified"` // from a tree with changes that were not committed
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func buildOf() build {
	b := build{Version: version, Commit: commit, Date: date, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = cmp.Or(b.Commit, s.Value)
		case "vcs.time":
			b.Date = cmp.Or(b.Date, s.Value)
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	b.Modified = b.Modified || strings.HasSuffix(b.Version, "-dirty") // of git describe
	b.Version = cmp.Or(b.Version, info.Main.Version, "(devel)")
	return b
}

func (c *versionCmd) Run(a *app) error {
	b := buildOf()
	if c.JSON {
		return writeJSON(a.stdout, b)
	}
	text := "pelton " + b.Version
	if b.Commit != "" {
		text += " (" + b.Commit[:min(12, len(b.Commit))]
		if b.Modified {
			text += ", modified"
		}
		text += ")"
	}
	_, err := fmt.Fprintf(a.stdout, "%s %s %s\n", text, b.Go, b.Platform)
	return err
}
