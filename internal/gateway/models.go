package gateway

import (
	"net/http"
	"slices"
	"strings"
)

type model struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

func modelOf(name string) model { return model{name, "model", 0, "pelton"} }

// models are the names that requests can ask for, patterns left out.
func (g *Gateway) models() []string {
	var names []string
	if g.Models != nil {
		names = g.Models()
	}
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return strings.Contains(name, "*") })
}

func (g *Gateway) listModels(c *call) error {
	list := []model{}
	for _, name := range g.models() {
		list = append(list, modelOf(name))
	}
	return c.answer(map[string]any{"object": "list", "data": list})
}

func (g *Gateway) getModel(c *call) error {
	name := c.r.PathValue("id")
	if !slices.Contains(g.models(), name) {
		return &apiError{Status: http.StatusNotFound, Param: "model", Code: "model_not_found", Message: "The model '" + clip(name) + "' does not exist here."}
	}
	return c.answer(modelOf(name))
}
