"""What happens to sound between the network and the loudspeaker, as plain functions of arrivals and time.

The law of this folder: no clock, no chance, no thread, no socket, no device, and no codec library. Time comes in
as `now`, in the seconds of the clock that stamps arrivals; the codec comes in as a `Decoder`; the loudspeaker asks
(`pull`), nothing here ever pushes. numpy is the only guest.
"""
