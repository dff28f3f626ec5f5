package anthropic

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream/eventstreamapi"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
)

// framesType is the type of AWS's event streams.
const framesType = "application/vnd.amazon.eventstream"

// frames are the events in an event stream of AWS's: each frame holds one of
// Anthropic's, in base64.
type frames struct {
	from    io.Reader
	decoder *eventstream.Decoder
	payload []byte
	event   []byte
}

func newFrames(body io.Reader) *frames {
	return &frames{from: bufio.NewReader(body), decoder: eventstream.NewDecoder()}
}

func (f *frames) next() ([]byte, bool, error) {
	message, err := f.decoder.Decode(f.from, f.payload[:0])
	if err != nil {
		return nil, false, err
	}
	f.payload = message.Payload
	if kind := header(message, eventstreamapi.MessageTypeHeader); kind != eventstreamapi.EventMessageType {
		name := header(message, eventstreamapi.ExceptionTypeHeader)
		if kind == eventstreamapi.ErrorMessageType {
			name = header(message, eventstreamapi.ErrorCodeHeader)
		}
		f.event = append(f.event[:0], `{"type":"error","error":{"type":`...)
		f.event = append(rawjson.AppendString(f.event, name), `,"message":`...)
		f.event = rawjson.AppendString(f.event, exceptionText(message))
		return append(f.event, `}}`...), true, nil
	}
	var encoded []byte
	_, _ = rawjson.Object(message.Payload, func(key, value []byte) {
		if string(key) == "bytes" {
			encoded = translate.Inner(value)
		}
	})
	if f.event, err = base64.StdEncoding.AppendDecode(f.event[:0], encoded); err != nil {
		return nil, false, fmt.Errorf("a frame of the stream: %w", err)
	}
	return f.event, false, nil
}

// exceptionText is what an exception says.
func exceptionText(m eventstream.Message) string {
	text := header(m, eventstreamapi.ErrorMessageHeader)
	_, _ = rawjson.Object(m.Payload, func(key, value []byte) {
		if name := string(key); name == "message" || name == "Message" {
			text = rawjson.Text(value)
		}
	})
	return text
}

func header(m eventstream.Message, name string) string {
	if value := m.Headers.Get(name); value != nil {
		return value.String()
	}
	return ""
}
