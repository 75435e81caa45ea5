// What a script of browsers and the rehearsal that started it say to each other:
// lines of JSON on standard input and output (cmd/kuule-demo/rehearsal/browser.go).
import assert from 'node:assert/strict'
import { createInterface } from 'node:readline'

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const line = async () => {
  const { value, done } = await lines.next()
  if (done) throw new Error('the rehearsal has gone')
  return JSON.parse(value)
}

/** Tells the rehearsal something, such as how a step went. */
export const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`)

/** What is rehearsed: the rehearsal's first line. */
export const scene = await line()

let before = Promise.resolve()

/** Asks the rehearsal to do something; one after the other, whoever asks. */
export function ask(what, more = {}) {
  const answer = before.then(async () => {
    say({ ask: what, ...more })
    return line()
  })
  before = answer.catch(() => undefined)
  return answer.then((said) => {
    assert.ok(said.ok, `${what}: ${said.error}`)
    return said
  })
}
