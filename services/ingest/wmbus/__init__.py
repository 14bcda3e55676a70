"""Telegrams of wmbusmeters become readings: parse, find the meter, choose and convert the value."""
