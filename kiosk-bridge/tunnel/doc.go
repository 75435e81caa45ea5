// Package tunnel is the language between a kiosk and the bridge: JSON messages
// over one WebSocket, in which the bridge leads and the kiosk is a pipe for its
// parts.
//
//	kiosk  hello     what it is, and for which steps it has parts
//	bridge visit     id, nonce, policy, how long the visit may take
//	kiosk  begin     booking reference and what the person came for
//	bridge ask       for one step                    } as often as needed
//	kiosk  taken     what came of it, with hashes    }
//	kiosk  (binary)  the bytes, piece by piece       }
//	bridge apdu      a command for the chip          } after the step "chip"
//	kiosk  answer    the chip's response, or none    }
//	bridge finish    there is nothing more to ask
//	kiosk  journal   every step with its times
//	bridge evidence  what is to be vouched for, without personal content
//	kiosk  vouch     the kiosk's signature over it
//	bridge outcome   join, desk or again
//
// At any point the bridge may send problem and close. Every message has a
// bounded size and is read strictly; every wait has an end.
package tunnel
