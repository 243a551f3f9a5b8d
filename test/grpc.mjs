// A service for the tests that speaks gRPC, with the library of its authors: unary, streams either way and both, errors.
import { Metadata, Server, ServerCredentials, status } from '@grpc/grpc-js';

const bytes = { serialize: (value) => value, deserialize: (value) => value };
const method = (name, requestStream, responseStream) => ({
  ...{ path: `/test.Echo/${name}`, requestStream, responseStream },
  ...{ requestSerialize: bytes.serialize, requestDeserialize: bytes.deserialize },
  ...{ responseSerialize: bytes.serialize, responseDeserialize: bytes.deserialize },
});
let cancelled = 0;

const server = new Server();
server.addService(
  {
    Say: method('Say', false, false),
    Fail: method('Fail', false, false),
    Count: method('Count', false, true),
    Sum: method('Sum', true, false),
    Chat: method('Chat', true, true),
    Endless: method('Endless', false, true),
    Cancelled: method('Cancelled', false, false),
    Crash: method('Crash', false, true),
  },
  {
    Say(call, done) {
      const metadata = new Metadata();
      metadata.set('seen-authority', call.getHost());
      metadata.set('seen-key', String(call.metadata.get('authorization')[0] ?? 'none'));
      call.sendMetadata(metadata);
      const trailers = new Metadata();
      trailers.set('at-the-end', 'yes');
      done(null, call.request, trailers);
    },
    Fail: (_, done) => done({ code: status.FAILED_PRECONDITION, details: 'nicht möglich' }),
    async Count(call) {
      for (let i = 0; i < Number(call.request); i++) {
        if (!call.write(Buffer.from(String(i)))) await new Promise((resolve) => call.once('drain', resolve));
      }
      call.end();
    },
    Sum(call, done) {
      let sum = 0;
      call.on('data', (chunk) => (sum += chunk.byteLength));
      call.on('end', () => done(null, Buffer.from(String(sum))));
    },
    Chat(call) {
      call.on('data', (chunk) => call.write(chunk));
      call.on('end', () => call.end());
    },
    Endless(call) {
      call.write(Buffer.from('first'));
      call.on('cancelled', () => cancelled++);
    },
    Cancelled: (_, done) => done(null, Buffer.from(String(cancelled))),
    Crash(call) {
      call.write(Buffer.from('first'));
      setImmediate(() => process.exit(3));
    },
  },
);
server.bindAsync(`127.0.0.1:${process.argv[2]}`, ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
});
process.on('SIGTERM', () => process.exit(0));
