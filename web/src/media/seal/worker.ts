import { Engine, type EncodedFrame, type Part } from './engine'
import type { Answer, Request, Wish } from './client'

/** What the worker's realm has and TypeScript's DOM does not tell (WebRTC Encoded Transform). */
interface Transformer {
  options: Part
  readable: ReadableStream<EncodedFrame>
  writable: WritableStream<EncodedFrame>
  sendKeyFrameRequest?(): Promise<unknown>
}
interface Realm {
  postMessage(message: Answer | Wish): void
  onmessage: ((event: { data: Request }) => void) | null
  onrtctransform: ((event: { transformer: Transformer }) => void) | null
}

const realm = globalThis as unknown as Realm
const engine = new Engine()

realm.onmessage = ({ data: { id, call, args } }) => {
  const answer = async () => {
    try {
      const act = engine.calls[call] as (...args: unknown[]) => Promise<unknown>
      realm.postMessage({ id, value: await act(...args) })
    } catch (thrown) {
      realm.postMessage({ id, refused: thrown instanceof Error ? thrown.message : 'refused' })
    }
  }
  void answer()
}

realm.onrtctransform = ({ transformer }) => {
  const ask = () => {
    // Chromium makes key frames at the sender's word alone, which is on the page.
    if (transformer.options.side === 'seal') realm.postMessage({ keyFrameOf: transformer.options.track })
    else transformer.sendKeyFrameRequest?.().catch(() => undefined)
  }
  let pass: ReturnType<Engine['transform']>
  try {
    pass = engine.transform(transformer.options, ask)
  } catch {
    // A track that may not be sealed sends nothing: its frames stop here.
    pass = () => Promise.resolve()
  }
  const stream = new TransformStream<EncodedFrame, EncodedFrame>({
    transform: (frame, controller) => pass(frame, (out) => controller.enqueue(out)),
  })
  void transformer.readable.pipeThrough(stream).pipeTo(transformer.writable).catch(() => undefined)
}
