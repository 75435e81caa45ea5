import { useEffect, useState, useSyncExternalStore } from 'react'
import type { Device } from '../api/http'
import type { TodaysHearing } from '../api/model'
import { makeSealing } from '../media/seal'
import { RoomClient, type RoomState } from '../media/room'

/** A stay in a room, from the moment when the person asks for it until the page leaves it. */
export function useRoom(hearing: TodaysHearing, device: Device, media: MediaStream | null): { room: RoomClient; state: RoomState } {
  const [room] = useState(
    () =>
      new RoomClient({
        hearing: hearing.hearing,
        seats: hearing.seats.map((s) => s.seat),
        tickets: hearing.tickets,
        trust: device.trust,
        media,
        makeSealing,
      }),
  )
  useEffect(() => {
    void room.start()
    return () => room.close()
  }, [room])
  const state = useSyncExternalStore(room.subscribe, room.snapshot)
  return { room, state }
}

/** The hearing clock, for showing: a new value about four times a second. */
export function useClock(room: RoomClient): number {
  const [now, setNow] = useState(() => room.now())
  useEffect(() => {
    const timer = setInterval(() => setNow(room.now()), 250)
    return () => clearInterval(timer)
  }, [room])
  return now
}
