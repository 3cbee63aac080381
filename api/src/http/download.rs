//! CSV downloads of any number of rows. The rows are read from the database in chunks, as fast as the client reads them.

use axum::{
    body::{Body, Bytes},
    response::{IntoResponse, Response},
};
use catalog_logging::Chain;
use futures::{StreamExt, TryStreamExt, stream};
use tracing::Span;

use super::{format::csv_headers, problem::Problem};
use crate::database::ReadError;

/// A CSV file and its format.
pub struct Download<T, P> {
    /// File name.
    pub file: &'static str,
    /// Maximum number of rows per read.
    pub chunk: i64,
    /// Formats rows as CSV, with a header if the flag is set.
    pub write: fn(&[T], bool) -> Result<Vec<u8>, csv::Error>,
    /// Returns the position of a row.
    pub position: fn(&T) -> P,
}

/// The reason why a download ends early. The client can detect that it is incomplete.
#[derive(Debug, thiserror::Error)]
enum DownloadError {
    #[error("the rows could not be read")]
    Read(#[from] ReadError),
    #[error("the rows could not be written")]
    Csv(#[from] csv::Error),
}

impl From<DownloadError> for Problem {
    fn from(error: DownloadError) -> Self {
        match error {
            DownloadError::Read(error) => error.into(),
            DownloadError::Csv(error) => Self::internal(&error),
        }
    }
}

impl<T: Send + Sync + 'static, P: Send + 'static> Download<T, P> {
    /// Responds with all rows after `after`. `read` reads at most `chunk` rows after a position.
    ///
    /// # Errors
    /// If the first chunk cannot be read: an unavailable database is reported as a problem document, not as a truncated file.
    pub async fn respond<F>(self, after: Option<P>, mut read: impl FnMut(Option<P>) -> F + Send + 'static) -> Result<Response, Problem>
    where
        F: Future<Output = Result<Vec<T>, ReadError>> + Send + 'static,
    {
        let Self { file, chunk, write, position } = self;
        let rows = stream::try_unfold((Some(after), true), move |(after, header)| {
            let read = after.map(&mut read);
            async move {
                let Some(read) = read else { return Ok(None) };
                let rows = read.await?;
                let full = i64::try_from(rows.len()).is_ok_and(|length| length == chunk);
                let next = rows.last().filter(|_| full).map(|last| Some(position(last)));
                Ok::<_, DownloadError>(Some((Bytes::from(write(&rows, header)?), (next, false))))
            }
        });
        let mut rows = Box::pin(rows);
        let first = rows.try_next().await?;
        // The body is sent after the handler has returned, so its log lines need the span of the request.
        let request = Span::current();
        let rows = rows.inspect_err(move |error| request.in_scope(|| tracing::warn!(error = %Chain(error), file, "download aborted")));
        let body = Body::from_stream(stream::iter(first.map(Ok)).chain(rows));
        Ok((csv_headers(file), body).into_response())
    }
}
