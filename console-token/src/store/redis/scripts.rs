//! What the server runs.

use ::redis::Script;

/// All conditions of a redeem or claim. Moments are of 20 digits and compared as text, since numbers of
/// Lua do not hold 64 bits.
///
/// `KEYS` token, ends; `ARGV` scope, audience, now, attempt, room for attempts, the new session or
/// nothing, hash, when the session is over unless it is held or nothing.
const SPEND: &str = r"
local r = redis.call('HMGET', KEYS[1], 'scope', 'audience', 'revoked', 'opens', 'lapses', 'uses', 'spent',
    'attempts', 'sessions', 'next_session', 'terms', 'session_limit', 'session_end')
if r[1] ~= ARGV[1] or (r[2] ~= '' and r[2] ~= ARGV[2]) or r[3] ~= '0' then return false end
if ARGV[3] < r[4] or r[5] <= ARGV[3] then return false end
if r[6] ~= '-1' and tonumber(r[6]) <= tonumber(r[7]) then return false end
if tonumber(ARGV[5]) <= #r[8] or string.find(r[8], ARGV[4] .. '=', 1, true) then return false end
if r[9] ~= '' or 15 < #r[10] then return false end
redis.call('HSET', KEYS[1], 'attempts', r[8] .. ARGV[4] .. '=' .. r[10] .. ',')
redis.call('HINCRBY', KEYS[1], 'next_session', 1)
redis.call('HINCRBY', KEYS[1], 'version', 1)
if r[6] ~= '-1' then redis.call('HINCRBY', KEYS[1], 'spent', 1) end
if ARGV[6] ~= '' then
    redis.call('HSET', KEYS[1], 'sessions', r[10] .. ARGV[6])
    local busy = math.huge
    if r[12] ~= '' then busy = tonumber(ARGV[3]) + tonumber(r[12]) end
    if r[13] ~= '' then busy = math.min(busy, tonumber(r[13])) end
    if ARGV[8] ~= '' then busy = math.min(busy, tonumber(ARGV[8])) end
    busy = math.max(busy, tonumber(r[5]))
    redis.call('ZADD', KEYS[2], busy == math.huge and '+inf' or string.format('%.0f', busy), ARGV[7])
end
return {r[10], r[11]}
";

/// `KEYS` ends, hashes, token, indexes; `ARGV` hash, end, field, value...
const CREATE: &str = r"
if redis.call('EXISTS', KEYS[3]) == 1 then return 0 end
redis.call('HSET', KEYS[3], unpack(ARGV, 3))
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('ZADD', KEYS[2], 0, ARGV[1])
for i = 4, #KEYS do redis.call('SADD', KEYS[i], ARGV[1]) end
return 1
";

/// `KEYS` ends, token; `ARGV` hash, version, end, field, value...
const SWAP: &str = r"
if redis.call('HGET', KEYS[2], 'version') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[2], unpack(ARGV, 4))
redis.call('HINCRBY', KEYS[2], 'version', 1)
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
return 1
";

/// `KEYS` ends, hashes, token, new token, indexes of the new one; `ARGV` hash, version, end, the number of the
/// arguments that follow for the token, field, value...; new hash, end, field, value...
const EXCHANGE: &str = r"
if redis.call('HGET', KEYS[3], 'version') ~= ARGV[2] or redis.call('EXISTS', KEYS[4]) == 1 then return 0 end
local new = 5 + tonumber(ARGV[4])
redis.call('HSET', KEYS[3], unpack(ARGV, 5, new - 1))
redis.call('HINCRBY', KEYS[3], 'version', 1)
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
redis.call('HSET', KEYS[4], unpack(ARGV, new + 2))
redis.call('ZADD', KEYS[1], ARGV[new + 1], ARGV[new])
redis.call('ZADD', KEYS[2], 0, ARGV[new])
for i = 5, #KEYS do redis.call('SADD', KEYS[i], ARGV[new]) end
return 1
";

/// `KEYS` tokens.
const REVOKE: &str = r"
local revoked = 0
for _, token in ipairs(KEYS) do
    if redis.call('HGET', token, 'revoked') == '0' then
        redis.call('HSET', token, 'revoked', '1')
        redis.call('HINCRBY', token, 'version', 1)
        revoked = revoked + 1
    end
end
return revoked
";

/// `KEYS` ends, hashes; `ARGV` prefix of all keys, now, limit. Names of keys follow from the prefix.
const SWEEP: &str = r"
local over = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[2], 'LIMIT', 0, ARGV[3])
for _, hash in ipairs(over) do
    local token = ARGV[1] .. 'token:' .. hash
    for _, index in ipairs({'vm', 'user', 'issuer'}) do
        local name = redis.call('HGET', token, index)
        if name then redis.call('SREM', ARGV[1] .. index .. ':' .. name, hash) end
    end
    redis.call('DEL', token)
    redis.call('ZREM', KEYS[1], hash)
    redis.call('ZREM', KEYS[2], hash)
end
return #over
";

/// `KEYS` lease ends, console; `ARGV` console, leases before, leases, end.
const SWAP_SEATS: &str = r"
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[2], ARGV[3])
redis.call('ZADD', KEYS[1], ARGV[4], ARGV[1])
return 1
";

/// `KEYS` lease ends; `ARGV` prefix of all keys, now, limit.
const SWEEP_SEATS: &str = r"
local over = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[2], 'LIMIT', 0, ARGV[3])
for _, console in ipairs(over) do
    redis.call('DEL', ARGV[1] .. 'console:' .. console)
    redis.call('ZREM', KEYS[1], console)
end
return #over
";

/// Compare and set. Moments are of 20 digits.
///
/// `KEYS` note, names, note ends, version; `ARGV` name, now, expected version or nothing, end as score, until, and the
/// value; without the last two the note is removed.
const SET_NOTE: &str = r"
local r = redis.call('HMGET', KEYS[1], 'version', 'until')
local version = '0'
if r[1] and ARGV[2] < r[2] then version = r[1] end
if ARGV[3] ~= '' and ARGV[3] ~= version then return 0 end
if #ARGV < 6 then
    redis.call('DEL', KEYS[1])
    redis.call('ZREM', KEYS[2], ARGV[1])
    redis.call('ZREM', KEYS[3], ARGV[1])
    return 1
end
redis.call('HSET', KEYS[1], 'version', redis.call('INCR', KEYS[4]), 'until', ARGV[5], 'value', ARGV[6])
redis.call('ZADD', KEYS[2], 0, ARGV[1])
redis.call('ZADD', KEYS[3], ARGV[4], ARGV[1])
return 1
";

/// Some notes: first how many names were looked at and the last of them, then name, version, until and value of each
/// that is not over.
///
/// `KEYS` names; `ARGV` prefix of the keys of notes, from, to, how many at most, now.
const LIST_NOTES: &str = r"
local names = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[2], ARGV[3], 'LIMIT', 0, ARGV[4])
local found = {tostring(#names), names[#names] or ''}
for _, name in ipairs(names) do
    local r = redis.call('HMGET', ARGV[1] .. name, 'version', 'until', 'value')
    if r[1] and ARGV[5] < r[2] then
        found[#found + 1] = name
        found[#found + 1] = r[1]
        found[#found + 1] = r[2]
        found[#found + 1] = r[3]
    end
end
return found
";

/// `KEYS` note ends, names; `ARGV` prefix of the keys of notes, now, limit.
const SWEEP_NOTES: &str = r"
local over = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[2], 'LIMIT', 0, ARGV[3])
for _, name in ipairs(over) do
    redis.call('DEL', ARGV[1] .. name)
    redis.call('ZREM', KEYS[1], name)
    redis.call('ZREM', KEYS[2], name)
end
return #over
";

pub(super) struct Scripts {
    pub(super) spend: Script,
    pub(super) create: Script,
    pub(super) swap: Script,
    pub(super) exchange: Script,
    pub(super) revoke: Script,
    pub(super) sweep: Script,
    pub(super) swap_leases: Script,
    pub(super) sweep_seats: Script,
    pub(super) set_note: Script,
    pub(super) list_notes: Script,
    pub(super) sweep_notes: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            spend: Script::new(SPEND),
            create: Script::new(CREATE),
            swap: Script::new(SWAP),
            exchange: Script::new(EXCHANGE),
            revoke: Script::new(REVOKE),
            sweep: Script::new(SWEEP),
            swap_leases: Script::new(SWAP_SEATS),
            sweep_seats: Script::new(SWEEP_SEATS),
            set_note: Script::new(SET_NOTE),
            list_notes: Script::new(LIST_NOTES),
            sweep_notes: Script::new(SWEEP_NOTES),
        }
    }
}
