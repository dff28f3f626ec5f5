// A chat model that says "hi", served by Node's own http.
import http from 'node:http';

const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };

http.createServer((req, res) => {
  let body = '';
  req.on('data', (part) => { body += part; });
  req.on('end', () => {
    if (req.method === 'GET') {
      res.end('ok');
      return;
    }
    const { model, stream } = JSON.parse(body);
    const head = { id: 'c', created: 1, model };
    if (!stream) {
      res.setHeader('Content-Type', 'application/json');
      const choices = [{ index: 0, message: { role: 'assistant', content: 'hi' }, finish_reason: 'stop' }];
      res.end(JSON.stringify({ ...head, object: 'chat.completion', choices, usage }));
      return;
    }
    res.setHeader('Content-Type', 'text/event-stream');
    const send = (event) => res.write(`data: ${JSON.stringify({ ...head, object: 'chat.completion.chunk', ...event })}\n\n`);
    send({ choices: [{ index: 0, delta: { role: 'assistant', content: 'hi' } }] });
    send({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] });
    send({ choices: [], usage });
    res.end('data: [DONE]\n\n');
  });
}).listen(Number(process.env.PORT), '127.0.0.1');
