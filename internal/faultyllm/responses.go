package faultyllm

import (
	"strconv"

	"pelton/internal/rawjson"
)

// The Responses API streams typed events and has no [DONE].
var responses = &endpoint{
	path:    "/v1/responses",
	subject: "input",
	compose: func(x *exchange) { x.answerTo(x.req.lastUser) },
	whole: func(x *exchange, out []byte) []byte {
		return x.response(out, "completed")
	},
	stream: &encoder{
		start: func(x *exchange, out []byte) []byte {
			for _, name := range []string{"response.created", "response.in_progress"} {
				out = x.event(out, name)
				out = append(out, `,"response":`...)
				out = x.response(out, "in_progress")
				out = append(out, "}\n\n"...)
			}
			out = x.event(out, "response.output_item.added")
			out = append(out, `,"output_index":0,"item":`...)
			out = x.outputItem(out, "in_progress", nil)
			out = append(out, "}\n\n"...)
			out = x.partEvent(out, "response.content_part.added")
			out = append(out, `,"part":`...)
			out = outputText(out, nil)
			return append(out, "}\n\n"...)
		},
		piece: func(x *exchange, out []byte, p piece) []byte {
			out = x.partEvent(out, "response.output_text.delta")
			out = append(out, `,"delta":`...)
			out = rawjson.AppendString(out, p.text)
			return append(out, "}\n\n"...)
		},
		finish: func(x *exchange, out []byte) []byte {
			text := x.texts[0]
			out = x.partEvent(out, "response.output_text.done")
			out = append(out, `,"text":`...)
			out = rawjson.AppendString(out, text)
			out = append(out, "}\n\n"...)
			out = x.partEvent(out, "response.content_part.done")
			out = append(out, `,"part":`...)
			out = outputText(out, text)
			out = append(out, "}\n\n"...)
			out = x.event(out, "response.output_item.done")
			out = append(out, `,"output_index":0,"item":`...)
			out = x.outputItem(out, "completed", text)
			out = append(out, "}\n\n"...)
			out = x.event(out, "response.completed")
			out = append(out, `,"response":`...)
			out = x.response(out, "completed")
			return append(out, "}\n\n"...)
		},
	},
}

// event appends the beginning of a typed event, up to its first own field.
func (x *exchange) event(out []byte, name string) []byte {
	out = append(out, "event: "...)
	out = append(out, name...)
	out = append(out, "\ndata: {\"type\":\""...)
	out = append(out, name...)
	out = append(out, `","sequence_number":`...)
	out = strconv.AppendInt(out, int64(x.events), 10)
	x.events++
	return out
}

// partEvent is event for those about the text.
func (x *exchange) partEvent(out []byte, name string) []byte {
	out = x.event(out, name)
	out = append(out, `,"item_id":"msg_`...)
	out = append(out, x.hexID[:]...)
	return append(out, `","output_index":0,"content_index":0`...)
}

// response appends the response object; one in progress has no output yet.
func (x *exchange) response(out []byte, status string) []byte {
	out = append(out, '{')
	out = x.answerID(out, "resp_")
	out = append(out, `,"object":"response","created_at":`...)
	out = strconv.AppendInt(out, x.created, 10)
	out = append(out, `,"status":"`...)
	out = append(out, status...)
	out = append(out, `","error":null,"incomplete_details":null,`...)
	out = x.model(out)
	out = append(out, `,"output":[`...)
	if status != "completed" {
		return append(out, `],"usage":null}`...)
	}
	if len(x.texts) > 0 {
		out = x.outputItem(out, status, x.texts[0])
	}
	out = append(out, `],"usage":`...)
	out = x.usage(out, "input_tokens", "output_tokens")
	return append(out, '}')
}

func (x *exchange) outputItem(out []byte, status string, text []byte) []byte {
	out = append(out, `{"type":"message",`...)
	out = x.answerID(out, "msg_")
	out = append(out, `,"status":"`...)
	out = append(out, status...)
	out = append(out, `","role":"assistant","content":[`...)
	if status == "completed" {
		out = outputText(out, text)
	}
	return append(out, `]}`...)
}

func outputText(out, text []byte) []byte {
	out = append(out, `{"type":"output_text","text":`...)
	out = rawjson.AppendString(out, text)
	return append(out, `,"annotations":[]}`...)
}
