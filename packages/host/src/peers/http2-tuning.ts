import type { Http2Server, ServerHttp2Session, Settings } from 'node:http2'
import type { Server } from '@grpc/grpc-js'

/** The parts of a gRPC server that its public interface does not show. All of them may be missing in another version. */
interface ServerParts {
  readonly commonServerOptions?: { settings?: Settings }
  readonly http2Servers?: ReadonlyMap<Http2Server, unknown>
}

/**
 * Widens what a gRPC server may be sent before it answers. grpc-js has the option `grpc-node.flow_control_window` for channels only; a
 * server keeps HTTP/2's 64 KB, which halves the throughput. Where the parts are missing the server works, only slower. To be called
 * before the server makes its connection injector.
 */
export function widenServerWindow(server: Server, bytes: number): void {
  const { commonServerOptions } = server as unknown as ServerParts
  if (commonServerOptions === undefined) return
  commonServerOptions.settings = { ...commonServerOptions.settings, initialWindowSize: bytes }
}

/** The other half, to be called when the connection injector is made: the window of a connection as a whole. */
export function widenConnectionWindows(server: Server, bytes: number): void {
  const { http2Servers } = server as unknown as ServerParts
  for (const http2 of http2Servers?.keys() ?? []) {
    http2.on('session', (session: ServerHttp2Session) => session.setLocalWindowSize(bytes))
  }
}
