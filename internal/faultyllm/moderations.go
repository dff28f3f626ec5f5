package faultyllm

import "pelton/internal/rawjson"

// Nothing is ever flagged.
var moderations = &endpoint{
	path:    "/v1/moderations",
	subject: "input",
	compose: func(x *exchange) { x.texts = x.req.items(x.texts) },
	whole: func(x *exchange, out []byte) []byte {
		out = append(out, '{')
		out = x.answerID(out, "modr-")
		out = append(out, ',')
		out = x.model(out)
		out = append(out, `,"results":[`...)
		for i := range x.texts {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(out, `{"flagged":false,"categories":{`...)
			for k, c := range categories {
				if k > 0 {
					out = append(out, ',')
				}
				out = rawjson.AppendString(out, c)
				out = append(out, `:false`...)
			}
			out = append(out, `},"category_scores":{`...)
			for k, c := range categories {
				if k > 0 {
					out = append(out, ',')
				}
				out = rawjson.AppendString(out, c)
				out = append(out, `:0`...)
			}
			out = append(out, `}}`...)
		}
		return append(out, `]}`...)
	},
}

var categories = []string{"harassment", "hate", "illicit", "self-harm", "sexual", "violence"}
