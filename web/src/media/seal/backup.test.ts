import { describe, expect, it } from 'vitest'
import { newID } from '../../api/ids'
import { Backup } from './backup'
import { toBase64url } from './encoding'

async function make() {
  const pair = await crypto.subtle.generateKey({ name: 'ECDH', namedCurve: 'P-256' }, true, ['deriveBits'])
  const spki = toBase64url(new Uint8Array(await crypto.subtle.exportKey('spki', pair.publicKey)))
  const facts = { hearing: newID('hrg'), group: newID('grp'), member: newID('mem') }
  return { backup: new Backup(spki, facts), track: newID('trk') }
}

describe('a room terminal\'s back-up (H5)', () => {
  it('keeps frames of epochs with a recorder alone', async () => {
    const { backup, track } = await make()
    const raw = new Uint8Array(32).fill(7)
    await backup.key(1, 'roster', 'recorder', { track, source: 'audio', kid: 1024 }, raw)
    backup.frame(1, track, 5, new Uint8Array([1, 2, 3]))
    backup.frame(2, track, 6, new Uint8Array([4, 5, 6])) // a pause: no recorder opened it
    backup.list(2, 'a list of the pause')
    const [chunk, ...more] = backup.take()
    expect(more).toEqual([])
    expect(chunk).toMatchObject({ epoch: 1, roster: 'roster', recorder: 'recorder', frames: [{ track, at: 5, sealed: 'AQID' }], origins: [] })
    expect(chunk.keys).toHaveLength(1)
    expect(JSON.stringify(chunk)).not.toContain(toBase64url(raw))
    expect(backup.take()).toEqual([])
  })

  it('is bounded where nobody collects it', async () => {
    const { backup, track } = await make()
    await backup.key(1, 'roster', 'recorder', { track, source: 'audio', kid: 1024 }, new Uint8Array(32))
    for (let i = 0; i < 5000; i++) backup.frame(1, track, i, new Uint8Array([1]))
    expect(backup.take()[0]?.frames.length).toBeLessThanOrEqual(1500)
  })
})
