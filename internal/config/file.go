package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"pelton/internal/hint"

	"go.yaml.in/yaml/v3"
)

// settingsKey is the part of the file that is read here; the models beside it
// belong to the router.
const settingsKey = "pelton_settings"

// loadFile sets what the file at path holds under pelton_settings.
func (c *Config) loadFile(path string) []error {
	content, err := readFile(path)
	if err != nil {
		var pathError *os.PathError
		if errors.As(err, &pathError) {
			err = pathError.Err
		}
		return []error{fmt.Errorf("PELTON_CONFIG: cannot read %s: %w", path, err)}
	}
	return c.parseFile(path, content)
}

// anchorName is the one thing that the parser repeats of a file. It may be a
// password that begins with a star.
var anchorName = regexp.MustCompile(`anchor '.*'`)

// maxFile bounds a configuration file.
const maxFile = 16 << 20

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(content) > maxFile {
		err = fmt.Errorf("larger than %d MiB: is it the right file?", maxFile>>20)
	}
	return content, err
}

func (c *Config) parseFile(path string, content []byte) []error {
	var document yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(content)).Decode(&document); err != nil {
		if errors.Is(err, io.EOF) {
			return nil // an empty file
		}
		text := anchorName.ReplaceAllString(err.Error(), "anchor (write a value that begins with * or & in quotes)")
		return []error{fmt.Errorf("%s: %s", path, strings.TrimPrefix(text, "yaml: "))}
	}
	var problems []error
	bad := func(node *yaml.Node, format string, a ...any) {
		problems = append(problems, fmt.Errorf("%s:%d: %s", path, node.Line, fmt.Sprintf(format, a...)))
	}
	root := &document
	if root.Kind == yaml.DocumentNode && len(root.Content) > 0 {
		root = follow(root.Content[0])
	}
	if root.Kind != yaml.MappingNode {
		if root.Tag != "!!null" {
			bad(root, "must be a mapping of names to values")
		}
		return problems
	}
	for key, settings := range pairs(root) {
		if key.Value != settingsKey || isNull(settings) {
			continue
		}
		if settings.Kind != yaml.MappingNode {
			bad(settings, "%s: must be a mapping of names to values", settingsKey)
			continue
		}
		seen := map[string]int{}
		for key, value := range pairs(settings) {
			if line, twice := seen[key.Value]; twice {
				bad(key, "%s.%s: already set in line %d", settingsKey, key.Value, line)
				continue
			}
			seen[key.Value] = key.Line
			if err := c.setFromFile(key.Value, value); err != nil {
				bad(key, "%s.%s: %v", settingsKey, key.Value, err)
			}
		}
	}
	return problems
}

func (c *Config) setFromFile(key string, value *yaml.Node) error {
	for _, v := range variables {
		if v.key() != key {
			continue
		}
		if !v.inFile {
			return fmt.Errorf("cannot be set here; set %s in the environment", v.name)
		}
		if isNull(value) {
			return nil
		}
		text, err := plainText(value)
		if err != nil {
			return err
		}
		return v.set(c, text)
	}
	if near := hint.Nearest(key, names(true)); near != "" {
		return fmt.Errorf("no such setting; did you mean %s?", near)
	}
	return fmt.Errorf("no such setting; there are %s", strings.Join(names(true), ", "))
}

// plainText writes a value as the environment would have it: {a: 1, b: 2} as
// a=1,b=2 and [a, b] as a,b.
func plainText(node *yaml.Node) (string, error) {
	var parts []string
	switch node.Kind {
	case yaml.ScalarNode:
		return node.Value, nil
	case yaml.MappingNode:
		for key, value := range pairs(node) {
			if key.Kind != yaml.ScalarNode || value.Kind != yaml.ScalarNode {
				return "", fmt.Errorf("line %d: nested too deep", key.Line)
			}
			parts = append(parts, key.Value+"="+value.Value)
		}
	case yaml.SequenceNode:
		for _, item := range node.Content {
			if item = follow(item); item.Kind != yaml.ScalarNode {
				return "", fmt.Errorf("line %d: nested too deep", item.Line)
			}
			parts = append(parts, item.Value)
		}
	}
	return strings.Join(parts, ","), nil
}

// pairs yields the keys and values of a mapping, aliases followed.
func pairs(mapping *yaml.Node) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		for i := 0; i+1 < len(mapping.Content); i += 2 {
			if !yield(follow(mapping.Content[i]), follow(mapping.Content[i+1])) {
				return
			}
		}
	}
}

func follow(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

func isNull(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.Tag == "!!null" }
