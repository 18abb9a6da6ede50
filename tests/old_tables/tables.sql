-- The tables and functions of the old API, made from its contract alone.
CREATE TABLE video_queue (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    mal_id integer NOT NULL,
    episode integer NOT NULL,
    provider varchar(20) NOT NULL,
    video_url text NOT NULL,
    resolution varchar(10),
    status varchar(20) NOT NULL DEFAULT 'pending',
    retry_count integer NOT NULL DEFAULT 0,
    error_message text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT video_queue_provider_check CHECK (provider IN ('first', 'second')),
    CONSTRAINT video_queue_status_check CHECK (
        status IN ('pending', 'downloading', 'uploading', 'ready', 'failed')
    ),
    UNIQUE (mal_id, episode, provider, resolution)
);

CREATE TABLE video_store (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    mal_id integer NOT NULL,
    episode integer NOT NULL,
    provider varchar(20) NOT NULL,
    resolution varchar(10),
    file_key text NOT NULL,
    hf_account smallint NOT NULL CHECK (hf_account BETWEEN 1 AND 5),
    hf_repo text NOT NULL,
    hf_path text NOT NULL,
    hf_direct_url text NOT NULL,
    stream_url text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT video_store_provider_check CHECK (provider IN ('first', 'second')),
    UNIQUE (mal_id, episode, provider, resolution)
);

CREATE FUNCTION enqueue_video(
    p_mal_id integer, p_episode integer, p_provider text, p_video_url text,
    p_resolution text
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO video_queue AS row (mal_id, episode, provider, video_url, resolution)
    VALUES (p_mal_id, p_episode, p_provider, p_video_url, p_resolution)
    ON CONFLICT (mal_id, episode, provider, resolution) DO UPDATE SET
        video_url = excluded.video_url,
        status = CASE row.status WHEN 'failed' THEN 'pending' ELSE row.status END,
        updated_at = clock_timestamp()
    WHERE row.status <> 'ready'
$$;

CREATE FUNCTION claim_pending_videos(p_limit integer)
RETURNS SETOF video_queue LANGUAGE sql AS $$
    UPDATE video_queue SET status = 'downloading', updated_at = clock_timestamp()
    WHERE id IN (
        SELECT id FROM video_queue WHERE status = 'pending'
        ORDER BY created_at LIMIT p_limit FOR UPDATE SKIP LOCKED
    )
    RETURNING *
$$;

CREATE FUNCTION update_video_queue_status(p_id uuid, p_status text, p_error text)
RETURNS void LANGUAGE sql AS $$
    UPDATE video_queue SET
        status = p_status,
        error_message = p_error,
        retry_count = retry_count + (p_status = 'failed')::integer,
        updated_at = clock_timestamp()
    WHERE id = p_id
$$;

CREATE FUNCTION upsert_video_store(
    p_mal_id integer, p_episode integer, p_provider text, p_resolution text,
    p_file_key text, p_hf_account integer, p_hf_repo text, p_hf_path text,
    p_hf_direct_url text, p_stream_url text
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO video_store (
        mal_id, episode, provider, resolution, file_key, hf_account, hf_repo, hf_path,
        hf_direct_url, stream_url
    )
    VALUES (
        p_mal_id, p_episode, p_provider, p_resolution, p_file_key, p_hf_account,
        p_hf_repo, p_hf_path, p_hf_direct_url, p_stream_url
    )
    ON CONFLICT (mal_id, episode, provider, resolution) DO UPDATE SET
        file_key = excluded.file_key, hf_account = excluded.hf_account,
        hf_repo = excluded.hf_repo, hf_path = excluded.hf_path,
        hf_direct_url = excluded.hf_direct_url, stream_url = excluded.stream_url;
    UPDATE video_queue SET status = 'ready', updated_at = clock_timestamp()
    WHERE (mal_id, episode, provider) = (p_mal_id, p_episode, p_provider)
        AND resolution IS NOT DISTINCT FROM p_resolution
$$;
