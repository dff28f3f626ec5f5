package bedrock

import (
	"bufio"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream/eventstreamapi"
)

// framesType is the type of AWS's event streams.
const framesType = "application/vnd.amazon.eventstream"

// frames are the events of an event stream of AWS's.
type frames struct {
	from    *bufio.Reader
	decoder *eventstream.Decoder
	payload []byte
}

// frame is one event: its name, and what it holds, which is good until the next.
type frame struct {
	name    string
	payload []byte
	failed  bool   // it is an exception
	says    string // of an error that has no payload
}

func newFrames(body io.Reader) *frames {
	return &frames{from: bufio.NewReader(body), decoder: eventstream.NewDecoder()}
}

// next reads on; the error is io.EOF where the stream ends between two frames.
func (f *frames) next() (frame, error) {
	if _, err := f.from.Peek(1); err != nil {
		return frame{}, err
	}
	message, err := f.decoder.Decode(f.from, f.payload[:0])
	if err == io.EOF { // within a frame
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return frame{}, err
	}
	f.payload = message.Payload
	switch header(message, eventstreamapi.MessageTypeHeader) {
	case eventstreamapi.EventMessageType:
		return frame{name: header(message, eventstreamapi.EventTypeHeader), payload: message.Payload}, nil
	case eventstreamapi.ErrorMessageType:
		return frame{
			name: header(message, eventstreamapi.ErrorCodeHeader), payload: message.Payload, failed: true,
			says: header(message, eventstreamapi.ErrorMessageHeader),
		}, nil
	}
	return frame{name: header(message, eventstreamapi.ExceptionTypeHeader), payload: message.Payload, failed: true}, nil
}

func header(m eventstream.Message, name string) string {
	if value := m.Headers.Get(name); value != nil {
		return value.String()
	}
	return ""
}
